"""Sends notifications and retries at a limited rate, with an estimate of the costs."""
