"""`hearth deploy`: files for an existing Ray or Kubernetes cluster. Starts nothing."""
