"""Examples below each command's `--help`; a test parses each of them."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "demo": ("demo", "demo --raw cruise/D2007.raw", "demo --raw s3://bucket/key.raw --model EK80"),
    "up": ("up", "up --tasks 1 --folder /tmp/echodrop"),
    "convert": (
        "convert D20070724-T042400.raw out/",
        "convert cruise/ out/ --platform Bigelow --survey 'Summer 2007'",
        "convert cruise/*.raw out/ --jobs 4 --dry-run",
        "convert s3://archive/2007/a.raw out/a.nc --anon",
        "convert 15100520.01A out/ --xml 15100804.XML",
        "convert damaged.raw out/ --allow-partial",
    ),
    "check": ("check D20070724-T042400.raw", "check s3://archive/2007/a.raw --anon --json"),
    "doctor": ("doctor", "doctor --out s3://output/cruise/", "doctor --stack echodrop"),
    "deploy": ("deploy --check", "deploy --stack echodrop --dry-run", "deploy --connect-inbox"),
    "status": (
        "status",
        "status s3://inbox/cruise/a.raw --watch",
        "status --since 7d --prefix cruise/",
    ),
    "reconcile": ("reconcile", "reconcile --fix --dry-run", "reconcile --prefix cruise/ --verify"),
    "replay": (
        "replay s3://inbox/cruise/a.raw",
        "replay s3://inbox/cruise/a.raw --allow-partial",
        "replay --since 24h --outcome BadFile --dry-run",
        "replay --dlq",
    ),
    "backfill": (
        "backfill s3://archive/2007/ --dry-run",
        "backfill s3://archive/2007/ --rate 2",
    ),
    "draw": (
        "draw out/",
        "draw s3://output/cruise/ --dry-run",
        "draw s3://output/cruise/D2007.zarr --force",
    ),
    "check_rules": ("rules check rules.toml",),
    "explain_rules": ("rules explain s3://inbox/cruise/a.raw --rules rules.toml",),
    "catalog": ("catalog s3://output/", "catalog out/ --dry-run"),
    "gallery": ("gallery out/", "gallery s3://output/cruise/ --open"),
    "images": ("images --stack echodrop --dry-run",),
    "release": (
        "release --stack echodrop --dry-run",
        "release --parameter AlertEmail=a@b.org --yes",
    ),
    "undeploy": ("undeploy --stack echodrop --dry-run",),
    "write": ("sample write sea.raw", "sample write sea.raw --pings 100 --samples 500"),
}


def epilog(name: str) -> str:
    """The epilog of a command's help; the first line keeps click from joining the others."""
    return "\n".join(["\b", "Examples:", *(f"  echodrop {line}" for line in EXAMPLES[name])])
