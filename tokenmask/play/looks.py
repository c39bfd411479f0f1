"""Looks: the colours and letters of reports on the page. Needs gradio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

CSS = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_SANS = (
    "ui-sans-serif",
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Helvetica Neue",
    "DejaVu Sans",
    "sans-serif",
)
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")
_LIGHT = {
    "body_background_fill": "#fcfcfa",
    "body_text_color": "#1d2326",
    "body_text_color_subdued": "#5c676d",
    "background_fill_primary": "#fcfcfa",
    "background_fill_secondary": "#fcfcfa",
    "block_background_fill": "transparent",
    "block_label_text_color": "#1d2326",
    "block_title_text_color": "#1d2326",
    "block_info_text_color": "#5c676d",
    "border_color_primary": "#dfe3e3",
    "input_background_fill": "#ffffff",
    "input_border_color": "#cfd5d5",
    "input_border_color_focus": "#0b6e75",
    "color_accent": "#0b6e75",
    "color_accent_soft": "#e3f0f0",
    "slider_color": "#0b6e75",
    "button_primary_background_fill": "#0b6e75",
    "button_primary_background_fill_hover": "#095b61",
    "button_primary_text_color": "#ffffff",
    "button_secondary_background_fill": "#ffffff",
    "button_secondary_background_fill_hover": "#f0f3f2",
    "button_secondary_border_color": "#cfd5d5",
    "button_secondary_text_color": "#1d2326",
    "button_cancel_background_fill": "#ffffff",
    "button_cancel_background_fill_hover": "#f0f3f2",
    "button_cancel_border_color": "#cfd5d5",
    "button_cancel_text_color": "#a02c1c",
    "link_text_color": "#0b6e75",
    "checkbox_background_color_selected": "#0b6e75",
    "checkbox_border_color_selected": "#0b6e75",
    "checkbox_label_background_fill": "#ffffff",
    "checkbox_label_background_fill_selected": "#e3f0f0",
    "checkbox_label_border_color": "#cfd5d5",
    "checkbox_label_border_color_selected": "#0b6e75",
    "checkbox_label_text_color": "#1d2326",
    "checkbox_label_text_color_selected": "#0b4f54",
    "code_background_fill": "#f4f6f5",
}
_DARK = {
    "body_background_fill": "#14181a",
    "body_text_color": "#e6eae9",
    "body_text_color_subdued": "#9aa6aa",
    "background_fill_primary": "#14181a",
    "background_fill_secondary": "#14181a",
    "block_background_fill": "transparent",
    "block_label_text_color": "#e6eae9",
    "block_title_text_color": "#e6eae9",
    "block_info_text_color": "#9aa6aa",
    "border_color_primary": "#2f373a",
    "input_background_fill": "#1b2023",
    "input_border_color": "#3a4448",
    "input_border_color_focus": "#5cc3c6",
    "color_accent_soft": "#1c3436",
    "slider_color": "#5cc3c6",
    "button_primary_background_fill": "#5cc3c6",
    "button_primary_background_fill_hover": "#79d0d2",
    "button_primary_text_color": "#0c1c1d",
    "button_secondary_background_fill": "#1b2023",
    "button_secondary_background_fill_hover": "#252c30",
    "button_secondary_border_color": "#3a4448",
    "button_secondary_text_color": "#e6eae9",
    "button_cancel_background_fill": "#1b2023",
    "button_cancel_background_fill_hover": "#252c30",
    "button_cancel_border_color": "#3a4448",
    "button_cancel_text_color": "#f0957f",
    "link_text_color": "#5cc3c6",
    "checkbox_background_color_selected": "#5cc3c6",
    "checkbox_border_color_selected": "#5cc3c6",
    "checkbox_label_background_fill": "#1b2023",
    "checkbox_label_background_fill_selected": "#1c3436",
    "checkbox_label_border_color": "#3a4448",
    "checkbox_label_border_color_selected": "#5cc3c6",
    "checkbox_label_text_color": "#e6eae9",
    "checkbox_label_text_color_selected": "#a8e2e4",
    "code_background_fill": "#1b2023",
}
_FORM = {
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_padding": "0px",
    "block_label_border_width": "0px",
    "block_title_text_size": "0.875rem",
    "block_title_text_weight": "600",
    "block_info_text_size": "0.8rem",
    "button_large_radius": "6px",
    "button_small_radius": "6px",
    "button_large_text_size": "0.95rem",
    "button_large_text_weight": "600",
    "button_primary_shadow": "none",
    "button_secondary_shadow": "none",
    "checkbox_label_shadow": "none",
    "input_radius": "6px",
    "input_shadow": "none",
    "input_shadow_focus": "none",
    "layout_gap": "1.1rem",
    "form_gap_width": "0px",
    "shadow_drop": "none",
    "shadow_drop_lg": "none",
}


def theme() -> Any:
    """Letters that are on the machine, and the colours of a report in light and dark."""
    own = gr.themes.Base(
        font=[gr.themes.Font(name) for name in _SANS], font_mono=[gr.themes.Font(name) for name in _MONO]
    )
    return own.set(**_FORM, **_LIGHT, **{f"{name}_dark": colour for name, colour in _DARK.items()})
