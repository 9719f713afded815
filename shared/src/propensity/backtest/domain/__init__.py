"""The pure floor of backtest."""
