"""What a Linux Virtual Server knows and decides; no socket, no Scapy, no clock in here."""
