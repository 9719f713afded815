"""Propensity: which customers will buy, or come in for service, next?"""
