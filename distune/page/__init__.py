"""What a browser shows of a study: the dashboard while it runs, the report for good."""
