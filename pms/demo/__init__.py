"""Real OctoPrint servers with virtual printers, for the demonstration and for the tests."""
