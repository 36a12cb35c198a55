"""Refuses a bad rules document before it is deployed, with the line that is wrong.

python -m checks.rules template.yaml my-rules.toml
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from lambda_trigger.rules_document import parse_rules
from lambda_trigger.rules_table import RulesError
from sandbox.template import UNUSED_PARAMETERS, Stack


def rules_text(path: Path) -> str:
    """Return the document: the file's text, or what a template deploys."""
    if path.suffix != ".yaml":
        return path.read_text("utf-8")
    parameters = {**UNUSED_PARAMETERS, "PrefectApiUrl": "https://x/api", "PrefectAuth": "none"}
    return str(Stack.read(parameters, path=path).properties("RulesDocument")["Value"])


def main(paths: Sequence[Path]) -> int:
    """Check each document; 1 where one is wrong."""
    wrong = 0
    for path in paths:
        try:
            rules = parse_rules(rules_text(path))
        except (RulesError, OSError) as error:
            sys.stderr.write(f"{path}: {error}\n")
            wrong = 1
            continue
        sys.stdout.writelines(f"{path}: {warning}\n" for warning in rules.warnings)
        sys.stdout.write(f"{path}: {len(rules.prefixes)} prefixes\n")
    return wrong


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]]))
