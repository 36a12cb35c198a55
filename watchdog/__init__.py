"""The Lambda that looks at the whole every few minutes: what failed, what is stuck, who is silent."""
