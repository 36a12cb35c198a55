"""The failure report, quarantine and alerts. Imports core and stores."""
