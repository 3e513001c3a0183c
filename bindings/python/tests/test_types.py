"""The stub says what there is."""

import ast
import importlib.util
import inspect
from pathlib import Path

import pytest

import flashlm

PACKAGE = Path(importlib.util.find_spec("flashlm").origin).parent
STUB = ast.parse((PACKAGE / "_flashlm.pyi").read_text("utf-8"))
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef) and node.name in flashlm.__all__}


def test_the_wheel_brings_types_and_version():
    assert (PACKAGE / "py.typed").is_file()
    assert flashlm.__version__[0].isdigit()
    assert sorted(CLASSES) == sorted(flashlm.__all__)


@pytest.mark.parametrize("name", flashlm.__all__)
def test_the_stub_lists_every_attribute_with_the_docstring_of_it(name):
    real = getattr(flashlm, name)
    functions = [node for node in CLASSES[name].body if isinstance(node, ast.FunctionDef)]
    public = {attribute for attribute in vars(real) if not attribute.startswith("_")}
    assert public == {node.name for node in functions if ast.get_docstring(node)}
    for attribute in public:
        assert getattr(real, attribute).__doc__, f"{name}.{attribute}"


@pytest.mark.parametrize("name", flashlm.__all__)
def test_the_stub_has_the_arguments_and_defaults_that_there_are(name):
    for node in CLASSES[name].body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_") or node.decorator_list:
            continue
        real = inspect.signature(getattr(getattr(flashlm, name), node.name)).parameters.values()
        source = ast.unparse(node.args)
        parsed = eval(f"lambda {ast.unparse(without_types(node.args))}: None")
        stub = inspect.signature(parsed).parameters.values()
        real, stub = ([(p.name, p.kind, p.default) for p in parameters][1:] for parameters in (real, stub))
        assert real == stub, source


def without_types(arguments):
    for argument in arguments.posonlyargs + arguments.args + arguments.kwonlyargs:
        argument.annotation = None
    return arguments
