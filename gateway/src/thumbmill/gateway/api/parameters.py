"""The parameters in an address: a misspelt one would be a filter that filters nothing."""

from fastapi import Request

from thumbmill.gateway.problems import Code, Problem


async def reject_unknown_parameters(request: Request) -> None:
    """Let a request pass whose address has only parameters that its route knows. Raises Problem (400)."""
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        offer = f"it knows {', '.join(sorted(known))}" if known else "it knows none"
        raise Problem(Code.UNKNOWN_PARAMETER, f"{', '.join(name[:100] for name in unknown[:10])}: {offer}")
