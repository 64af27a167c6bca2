"""The path of one photo on an idle system, hop by hop."""
