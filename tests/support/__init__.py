"""What several test suites share: fakes of the outside world and the ways to start an app."""
