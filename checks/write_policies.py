"""Writes every policy of all variants of the stack to files for a policy linter."""

import json
import sys
from pathlib import Path

from tests.template.invariants.registry import BOUNDS, is_bounded
from tests.template.stacks import VARIANTS, source_template, translate


def main(folder: Path) -> None:
    """Write one file for each distinct statement, named after its resource.

    The linter ignores conditions. So statements that name no resource and are limited
    by a condition go into `bounded`, all others into `named`.

    Trust policies, key policies and permissions boundaries are not written;
    tests/template checks them.
    """
    for kind in ("named", "bounded"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    for parameters in VARIANTS.values():
        for statement in translate(source_template(), parameters).statements():
            if "Resource" not in statement.body or statement.kind in {"AWS::KMS::Key", *BOUNDS}:
                continue
            # A resource policy differs from other policies only in its principal.
            body = {key: value for key, value in statement.body.items() if key != "Principal"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [body]}, indent=2)
            if policy not in seen:
                seen.add(policy)
                name = f"{statement.owner}-{len(seen):03}.json"
                kind = "bounded" if is_bounded(statement.body) else "named"
                (folder / kind / name).write_text(policy)
    sys.stdout.write(f"{len(seen)} statements\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
