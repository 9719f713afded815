"""The ports over AWS and over the libraries; nothing else imports those."""
