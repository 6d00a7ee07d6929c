"""What people ask a running gateway: is it well, what did it do, why did Mary not get it?"""
