"""Prefect artifacts of a conversion: the manifest as a table, the output as a link."""

from __future__ import annotations

from typing import Any

from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.logging import get_run_logger

from flows.publishing.recording.quality import alarms


def manifest_rows(manifest: dict[str, Any]) -> list[dict[str, str]]:
    """The manifest as rows for people, in reading order."""
    source, output, contents = manifest["source"], manifest["output"], manifest["contents"]
    times, box = contents["time_range"], contents["position_box"]
    quality = manifest.get("quality", [])
    facts = {
        "source": source["uri"],
        "version": source["version_id"] or source["etag"],
        "bytes": f"{source['bytes']:,}",
        "sha256": source["sha256"],
        "sidecars": ", ".join(sidecar["uri"] for sidecar in manifest["sidecars"]),
        "sonar model": manifest["sonar"]["model"],
        "model found by": manifest["sonar"]["found_by"],
        "condition": manifest["preflight"]["condition"],
        "missing": manifest["missing"],
        "corrections": "; ".join(
            f"{each['what']} ({each['count']:,} values)" for each in manifest["corrections"]
        ),
        "quality": "; ".join(alarms(quality)),
        "quality, within limits": "; ".join(
            str(fact["sentence"]) for fact in quality if not fact["alarm"]
        ),
        "read whole by echopype, because": manifest["engine"]["reason"],
        "pings": ", ".join(f"{name}: {count:,}" for name, count in contents["pings"].items()),
        "channels": ", ".join(contents["channels"]),
        "time range": f"{times['first']} to {times['last']}" if times else None,
        "positions": "{south:.4f} to {north:.4f} N, {west:.4f} to {east:.4f} E".format(**box)
        if box
        else None,
        "output": output["uri"],
        "output bytes": f"{output['bytes']:,} in {output['objects']:,} objects "
        f"({output['bytes'] / max(1, source['bytes']):.2f} of the raw file)",
        "verified": f"{manifest['verification']['objects_listed']:,} objects listed, "
        f"{manifest['verification']['objects_read']:,} read back",
        "parser warnings": "; ".join(manifest["parser_warnings"]),
        "seconds": ", ".join(
            f"{stage} {spent:.2f}" for stage, spent in manifest["timings"].items()
        ),
    }
    return [{"fact": name, "value": str(value)} for name, value in facts.items() if value]


def show_manifest(manifest: dict[str, Any]) -> None:
    """Show the manifest in the UI; an error of the server does not fail the conversion."""
    output = manifest["output"]["uri"]
    try:
        create_table_artifact(manifest_rows(manifest), key="manifest", description=output)
        create_link_artifact(output, link_text=output, key="output", description=output)
    # BLE001: the output is published and verified, even if the UI cannot show it.
    except Exception as error:  # noqa: BLE001
        get_run_logger().warning("artifacts not created: %s", error)
