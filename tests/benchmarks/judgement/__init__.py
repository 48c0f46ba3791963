"""What the tests of judgement cost and promise: false rollbacks over whole lives, and labels to detection."""
