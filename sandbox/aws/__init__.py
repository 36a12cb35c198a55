"""The parts of AWS that moto lacks: schedules, event sources, alarms, tasks."""
