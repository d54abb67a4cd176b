SELECT last_sequence()
