"""What a site shows somebody who signs in: decided here, and recorded once it was shown."""
