"""What every service process needs: start and stop, logs, the admin port."""
