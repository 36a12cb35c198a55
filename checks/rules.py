"""Validates rules documents before they are deployed and names the invalid line.

python -m checks.rules template.yaml my-rules.toml
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from lambda_trigger.decisions.rules_document import parse_rules
from lambda_trigger.decisions.rules_table import RulesError
from sandbox.stack.template import UNUSED_PARAMETERS, Stack


def rules_text(path: Path) -> str:
    """Return the rules document of a TOML file or of a template."""
    if path.suffix != ".yaml":
        return path.read_text("utf-8")
    parameters = {**UNUSED_PARAMETERS, "PrefectApiUrl": "https://x/api", "PrefectAuth": "none"}
    return str(Stack.read(parameters, path=path).properties("RulesDocument")["Value"])


def main(paths: Sequence[Path]) -> int:
    """Check each document; return 1 if one is invalid."""
    exit_code = 0
    for path in paths:
        try:
            rules = parse_rules(rules_text(path))
        except (RulesError, OSError) as error:
            sys.stderr.write(f"{path}: {error}\n")
            exit_code = 1
            continue
        sys.stdout.writelines(f"{path}: {warning}\n" for warning in rules.warnings)
        sys.stdout.write(f"{path}: {len(rules.prefixes)} prefixes\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]]))
