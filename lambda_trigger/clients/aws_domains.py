"""The DNS suffix of AWS endpoints in each partition."""

# By the start of a region's name. All other regions use amazonaws.com.
# tests/unit/trigger/test_aws_api.py compares them with botocore's partitions.
_OTHERS = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}


def dns_suffix(region: str) -> str:
    """Return the DNS suffix of a region's endpoints."""
    for beginning, domain in _OTHERS.items():
        if region.startswith(beginning):
            return domain
    return "amazonaws.com"
