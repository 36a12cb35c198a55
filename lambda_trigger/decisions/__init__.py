"""The trigger's decisions: pure functions of keys, rules, bytes and notifications."""
