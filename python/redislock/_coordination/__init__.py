"""What stands on locks and scripts: etags, work done once, rate limits; the clients' factories."""
