"""Quiet channels: how a normalised stream grows by a factor that is not whole.

Under LayerNorm a channel may not simply be copied, because the mean and the variance would shift. But a new channel
that always holds the *mean* of the teacher's channels leaves the mean alone and shrinks the variance by D/D', for which
the gain (times sqrt(D/D')) and epsilon (times D/D') make up; its normalised value is 0. Under RMSNorm a new channel
that holds *zero* does the same. So every writer to the stream must write one fixed combination of its own channels to
the new ones. Which one each tensor must hold is found here, by walking from the norms through whatever is linear.
"""
