"""`hearth doctor --gpu`: a trial of this box with a real engine, and a report of it to paste into an issue."""
