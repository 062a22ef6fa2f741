"""Mail: what is to be sent stands in the database, what it says is made when it is."""
