"""The relay: claims chunks, sends their deliveries through lanes, settles what comes back."""
