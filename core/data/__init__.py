"""Tasks: data sets, their splits and preprocessing, in memory."""
