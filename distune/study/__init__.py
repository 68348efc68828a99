"""What things are: a study, its space, its trials. Pure."""
