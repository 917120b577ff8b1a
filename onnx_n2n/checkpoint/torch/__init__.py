"""What ``torch.save`` wrote: read without running it, grown in place."""
