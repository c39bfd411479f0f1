"""Contract checks that anybody can run on an own component, of any kind.

``check_component(MyScore())`` runs them all and names what broke; there is a function for each kind besides. In pytest,
one test for each check::

    @pytest.mark.parametrize("check", component_checks(MyScore()), ids=lambda check: check.name)
    def test_contract(check):
        check()

One file a kind; ``contract.py`` says what a check is, ``anything.py`` what holds for all kinds, ``world.py`` what they
are tried on.
"""

from tokenmask.testing.arrangement import check_arrangement
from tokenmask.testing.backbone import check_backbone
from tokenmask.testing.chain import check_chain
from tokenmask.testing.component import check_component, component_checks
from tokenmask.testing.conditioning import check_conditioning
from tokenmask.testing.constraint import check_constraint
from tokenmask.testing.contract import Check, Contract, refusal
from tokenmask.testing.corruption import check_corruption
from tokenmask.testing.draws import global_random_state_untouched
from tokenmask.testing.guidance import check_guidance
from tokenmask.testing.head import check_head
from tokenmask.testing.masker import check_masker
from tokenmask.testing.medium import check_medium
from tokenmask.testing.metric import check_metric
from tokenmask.testing.objective import check_objective
from tokenmask.testing.optimiser import check_optimiser
from tokenmask.testing.packing import check_packing
from tokenmask.testing.pattern import check_pattern
from tokenmask.testing.pick import check_pick
from tokenmask.testing.procedure import check_procedure
from tokenmask.testing.process import check_process
from tokenmask.testing.rate import check_rate
from tokenmask.testing.reuse import check_reuse
from tokenmask.testing.revoke import check_revoke
from tokenmask.testing.sampler import check_sampler
from tokenmask.testing.schedule import check_schedule
from tokenmask.testing.score import check_score
from tokenmask.testing.stages import check_stages
from tokenmask.testing.tokenizer import check_tokenizer, tokenizer_checks
from tokenmask.testing.world import LAYOUT

__all__ = [
    "LAYOUT",
    "Check",
    "Contract",
    "check_arrangement",
    "check_backbone",
    "check_chain",
    "check_component",
    "check_conditioning",
    "check_constraint",
    "check_corruption",
    "check_guidance",
    "check_head",
    "check_masker",
    "check_medium",
    "check_metric",
    "check_objective",
    "check_optimiser",
    "check_packing",
    "check_pattern",
    "check_pick",
    "check_procedure",
    "check_process",
    "check_rate",
    "check_reuse",
    "check_revoke",
    "check_sampler",
    "check_schedule",
    "check_score",
    "check_stages",
    "check_tokenizer",
    "component_checks",
    "global_random_state_untouched",
    "refusal",
    "tokenizer_checks",
]
