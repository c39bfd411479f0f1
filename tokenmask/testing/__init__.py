"""Contract checks that anybody can run on an own component."""

from tokenmask.testing.contract import Check
from tokenmask.testing.draws import global_random_state_untouched
from tokenmask.testing.tokenizer import check_tokenizer, tokenizer_checks

__all__ = ["Check", "check_tokenizer", "global_random_state_untouched", "tokenizer_checks"]
