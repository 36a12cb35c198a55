"""The page on sizes says what the code does."""

from pathlib import Path

from flows.size_tiers import TIERS, up_to_bytes

PAGE = Path(__file__).resolve().parents[3] / "docs/sizes-and-costs.md"


def test_the_table_of_sizes_is_the_code_s() -> None:
    text = PAGE.read_text()
    for tier in TIERS:
        limits = " | ".join(
            f"{up_to_bytes(tier, model) // 1_000_000:,} MB"
            for model in ("EK60", "EK80", "AZFP", "AD2CP")
        )
        row = (
            f"| {tier.name} | {tier.cpu // 1024} | {tier.memory // 1024} GiB "
            f"| {tier.ephemeral_storage} GiB | {limits} |"
        )
        assert row in text
