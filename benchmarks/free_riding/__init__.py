"""What an honest update and a free rider's bring beyond the last public steps, what the rider is paid and what it costs the model."""
