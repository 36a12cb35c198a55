"""The domain of AWS's addresses, which each partition has of its own."""

# By the beginning of a region's name; all other regions are in a partition with AWS's main domain.
# tests/unit/trigger/test_aws_api.py holds them to the partitions that botocore knows.
_OTHERS = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}


def dns_suffix(region: str) -> str:
    """Return the domain in which a region's services have their addresses."""
    for beginning, domain in _OTHERS.items():
        if region.startswith(beginning):
            return domain
    return "amazonaws.com"
