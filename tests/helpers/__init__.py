"""What tests share: small models, networks, damages, and how the command is called."""
