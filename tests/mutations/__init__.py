"""Hand-picked mutations: each undoes one mend in a copy of the repository, and the tests it names must turn red."""
