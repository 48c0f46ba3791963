"""The operator under constant change for half an hour: does it grow, does anything stay behind, is anything lost?"""
