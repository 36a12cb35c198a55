"""What moto lacks: an event source, tasks that run, rules' targets, kept objects."""
