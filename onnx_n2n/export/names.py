"""What tensors are called in a framework: one place makes every name.

A name is a path of modules with dots between them, as in a ``state_dict``. Names that a module of PyTorch can have stay
as they are, ``layers.0.weight`` too. Of all others every part is made an identifier. ONNX takes any text as a name, and
the attributes of a module are names already; so one name here stands for one name there, and no tensor is called like
a module of others.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_RESERVED = """
    T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
    extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules
    mtia named_buffers named_children named_modules named_parameters parameters register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory
    state_dict to to_empty train training type xpu zero_grad
"""
RESERVED = frozenset(_RESERVED.split())
"""Attributes of every ``torch.nn.Module``."""

_PRIVATE = """
    _apply _backward_hooks _backward_pre_hooks _buffers _call_impl _compiled_call_impl _forward_hooks
    _forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks _forward_pre_hooks_with_kwargs
    _get_backward_hooks _get_backward_pre_hooks _get_name _is_full_backward_hook _load_from_state_dict
    _load_state_dict_post_hooks _load_state_dict_pre_hooks _maybe_warn_non_full_backward_hook _modules _named_members
    _non_persistent_buffers_set _parameters _register_load_state_dict_pre_hook _register_state_dict_hook
    _replicate_for_data_parallel _save_to_state_dict _slow_forward _state_dict_hooks _state_dict_pre_hooks _version
    _wrapped_call_impl
"""
PRIVATE = frozenset(_PRIVATE.split())
"""The same that begin with an underscore, and lose it."""

_OUTERMOST = """
    _boxed_call _code _create_node_hooks _deepcopy_hooks _deepcopy_init _erase_node_hooks _graph _lineno_map
    _prologue_start _recompile_submodules _register_create_node_hook _register_deepcopy_hook
    _register_erase_node_hook _register_replace_node_hook _replace_hooks _set_replace_hook _tracer_cls _tracer_extras
    _unregister_create_node_hook _unregister_deepcopy_hook _unregister_erase_node_hook
    _unregister_replace_node_hook _wrapped_call add_submodule code delete_all_unused_submodules delete_submodule graph
    meta print_readable recompile shape_env to_folder
"""
OUTERMOST = frozenset(_OUTERMOST.split())
"""Attributes of a ``torch.fx.GraphModule``, which is outermost: PyTorch's own exporter refuses layers called so."""

ARGUMENTS = frozenset({"NoneType", "device", "fx_pytree", "getattr", "inf", "nan", "pytree", "self", "slice", "torch"})
"""What generated code means something else by."""

DEEPEST = 64
"""How many modules a tensor is in at most: they nest, and so do dictionaries of JAX."""


def legal(names: Iterable[str]) -> dict[str, str]:
    """Return what tensors are called, each by its name in the file.

    The first of two that would be called alike has the name, but a name that can stay as it is comes before one that
    cannot; the others are numbered.
    """
    root = _Module()
    for name in names:
        root.add(parts_of(name), name)
    return dict(root.named())


def path(name: str) -> str:
    """Return what a single tensor would be called: ``dense_1.kernel_0`` for ``dense_1/kernel:0``."""
    return legal([name])[name]


def arguments(names: Iterable[str]) -> list[str]:
    """Return what the inputs of a model are called as arguments of a function, in their order."""
    found: list[str] = []
    for name in names:
        wish = re.sub(r"[^0-9A-Za-z_]", "_", name)
        wish = wish if wish.isidentifier() else f"input_{wish}"
        wish += "_" if keyword.iskeyword(wish) or wish in ARGUMENTS or re.fullmatch(r"__.*__", wish) else ""
        found.append(_free(wish, found))
    return found


def parts_of(name: str) -> list[str]:
    """Return the parts of a name; those that are empty are left out."""
    found = [part for part in re.split(r"[./]", name) if part] or [""]
    return [*found[: DEEPEST - 1], "_".join(found[DEEPEST - 1 : -1]), found[-1]] if len(found) > DEEPEST + 1 else found


@dataclass
class _Module:
    """A module: what is in it, by the part of a name that is meant, and of a tensor its whole name."""

    inside: dict[tuple[str, str], _Module | None] = field(default_factory=dict)

    def add(self, parts: list[str], name: str) -> None:
        """Add a tensor by the parts of its name."""
        module = self
        for part in parts[:-1]:
            found = module.inside.setdefault((part, ""), _Module())
            assert found is not None
            module = found
        module.inside[parts[-1], f" {name}"] = None  # never the empty text of a module

    def named(self, before: str = "") -> Iterator[tuple[str, str]]:
        """Yield every tensor by its name in the file, and what it is called."""
        wishes = {key: identifier(key[0], leaf=bool(key[1]), outermost=not before) for key in self.inside}
        called: dict[tuple[str, str], str] = {}
        taken: set[str] = set()
        for key in sorted(wishes, key=lambda key: wishes[key] != key[0]):  # what stays as it is comes first
            called[key] = _free(wishes[key], taken)
            taken.add(called[key])
        for key, module in self.inside.items():
            if module is None:
                yield key[1][1:], before + called[key]
            else:
                yield from module.named(f"{before}{called[key]}.")


def identifier(part: str, *, leaf: bool, outermost: bool) -> str:
    """Return a part of a name as an attribute of a module can be called.

    Args:
        part: Any text.
        leaf: Whether it is the tensor's own name; a module may be called by a number.
        outermost: Whether the module is the outermost one.
    """
    if not _forbidden(part, outermost) and (_is_identifier(part) or (not leaf and part.isascii() and part.isdigit())):
        return part
    found = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", part.replace("::", "__"))).strip("_")
    found = found or ("weight" if leaf else "layer")
    if not found.isidentifier():
        found = f"{'weight' if leaf else 'layer'}_{found}"
    if not _is_identifier(found):
        found = re.sub(r"[^0-9A-Za-z_]+", "_", found)
    return f"{found}_" if _forbidden(found, outermost) else found


def _is_identifier(part: str) -> bool:
    """Say whether Python reads a text as an identifier, and as the same one."""
    return part.isidentifier() and unicodedata.normalize("NFKC", part) == part


def _forbidden(part: str, outermost: bool) -> bool:
    dunder = part.startswith("__") and part.endswith("__")
    own = part in RESERVED or part in PRIVATE or (outermost and part in OUTERMOST)
    return own or dunder or keyword.iskeyword(part)


def _free(wish: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken: the one that is wished for, or that with a number."""
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish}_{number}"
    return name
