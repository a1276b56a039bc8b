"""What an error looks like: formulas, evidence in bits, places, causes; no evaluation."""
