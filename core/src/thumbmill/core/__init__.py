"""What Thumbmill's services share: the words they exchange and the rules of delivery."""
