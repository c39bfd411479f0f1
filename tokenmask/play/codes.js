// The codes of a stream as an image: a cell a code, its colour by its number. Runs inside of gr.HTML.
const root = element.querySelector(".codes");
const [none, two, seen, shown, under, bar, slider, label] =
  ["none", "two", "seen", "shown", "under", "bar", "slider", "label"].map((name) => root.querySelector(`.${name}`));
const dark = () => document.body.classList.contains("dark");
const colour = (code) => `hsl(${(code * 137.508 + 190) % 360} ${dark() ? "34% 38%" : "46% 78%"})`;
let drawn = [], at = null;

const draw = (frame, texts) => {
  seen.innerHTML = frame.seen || "";
  seen.hidden = !frame.seen;
  shown.replaceChildren();
  drawn = [];
  const ratio = devicePixelRatio || 1, spells = Object.keys(texts || {}).length > 0;
  const room = Math.max(120, shown.clientWidth || 320), several = frame.panels.length > 1;
  for (const panel of frame.panels) {
    const rows = Math.ceil(panel.codes.length / panel.columns);
    const most = several ? Math.min(room, 220) : room;
    const columns = spells ? Math.max(1, Math.min(panel.columns, Math.floor(room / 58))) : panel.columns;
    const down = spells ? Math.ceil(panel.codes.length / columns) : rows;
    const wide = spells ? Math.min(84, room / columns) : Math.max(2, Math.min(34, most / columns));
    const high = spells ? 30 : Math.max(Math.min(wide, 34), Math.min(14, 220 / down));
    const figure = document.createElement("figure"), canvas = document.createElement("canvas");
    const [width, height] = [wide * columns, high * down];
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${panel.codes.length} codes ${panel.name}`.trim());
    const pen = canvas.getContext("2d"), style = getComputedStyle(root);
    pen.scale(ratio, ratio);
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.font = `${spells ? 12 : 10.5}px ${style.fontFamily}`;
    const gap = wide > 8 ? 1 : wide > 4 ? 0.5 : 0;
    panel.codes.forEach((code, number) => {
      const x = (number % columns) * wide, y = Math.floor(number / columns) * high;
      pen.fillStyle = code < 0 ? style.getPropertyValue("--hole") : colour(code);
      pen.fillRect(x, y, wide - gap, high - gap);
      const words = spells ? (texts[code] ?? String(code)) : String(code);
      if (code < 0 || wide < 25) return;
      pen.fillStyle = style.color;
      pen.fillText(spells ? (words.trim() || "\u2423") : words, x + (wide - gap) / 2, y + (high - gap) / 2 + 0.5, wide - 4);
    });
    figure.append(canvas);
    if (panel.name && several) {
      const caption = document.createElement("figcaption");
      caption.textContent = panel.name;
      figure.append(caption);
    }
    shown.append(figure);
    drawn.push({ canvas, panel, columns, wide, high });
  }
  label.textContent = frame.steps ? `Step ${frame.step} of ${frame.steps}` : "As they are";
};

const show = () => {
  const value = props.value || {}, frames = value.frames || [];
  none.hidden = frames.length > 0;
  two.hidden = under.hidden = !frames.length;
  if (!frames.length) return;
  bar.hidden = frames.length < 2;
  slider.max = String(frames.length - 1);
  const now = at === null ? frames.length - 1 : Math.min(at, frames.length - 1);
  slider.value = String(now);
  slider.setAttribute("aria-valuetext", `step ${frames[now].step}`);
  const panel = frames[now].panels[0] || { name: "" };
  const about = frames[now].panels.length > 1 ? "" : panel.name;
  under.textContent = about ? `${about}. Point at a code to read it.` : "Point at a code to read it.";
  draw(frames[now], value.texts);
};

slider.addEventListener("input", () => { at = Number(slider.value); show(); });
shown.addEventListener("pointermove", (event) => {
  const found = drawn.find((one) => one.canvas === event.target);
  if (!found) return;
  const column = Math.floor(event.offsetX / found.wide), row = Math.floor(event.offsetY / found.high);
  const code = found.panel.codes[row * found.columns + column];
  if (code === undefined) return;
  const texts = (props.value || {}).texts || {}, words = texts[code] === undefined ? "" : ` \u201c${texts[code]}\u201d`;
  under.textContent = `row ${row}, column ${column}: ${code < 0 ? "not decided" : `code ${code}${words}`}`;
});
watch("value", () => { at = null; show(); });
new ResizeObserver(() => show()).observe(root.parentElement);
show();
