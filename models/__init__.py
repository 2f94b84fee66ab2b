"""Networks that turn a mixture and a text into stems, and what loads and streams them."""
