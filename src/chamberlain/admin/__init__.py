"""Administration: operations, jobs, audit."""
