"""The recipe that makes lariat's weights from free recordings; nothing here is imported by users' code."""
