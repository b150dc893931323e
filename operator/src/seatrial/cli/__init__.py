"""The commands of a person, `seatrial ...`. Nothing else imports this package."""
