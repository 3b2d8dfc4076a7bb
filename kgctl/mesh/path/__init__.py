"""How a packet travels through a Kilo network, hop by hop, and where it does not get on."""
